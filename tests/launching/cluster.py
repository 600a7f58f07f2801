"""A Slurm cluster of one node, this machine, for a test: its own munge key, ports and folders."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel")
PATIENCE = 60.0  # seconds; longer means a failure
# No…InAddrAny: on the loopback device alone. cred_expire: a requeued task waits as long.
CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmUser=root
SlurmdParameters=config_overrides
ReturnToService=2
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName={host} NodeAddr=127.0.0.1 CPUs=3 RealMemory=1000 State=UNKNOWN
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str | None:
    """Why there can be no such cluster here, in words, or None."""
    lacking = [name for name in NEEDED if shutil.which(name) is None]
    if lacking:
        return f"no {lacking[0]} here: apt-get install slurmctld slurmd slurm-client munge"
    return None if os.geteuid() == 0 else "slurmd needs root"


def wait_until(condition, what: str):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE} s in vain for {what}"
        time.sleep(0.1)


class Cluster:
    """Started by `start`, ended by `stop`; its commands need `environment`.

    Args:
        folder: for all that it writes; a short path, since one is a socket's.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}

    def __call__(self, *command: str) -> str:
        """What a command of Slurm says."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def start(self):
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        own = {"key-file": key, "socket": "munge.socket", "pid-file": "munge.pid",
               "log-file": "munge.log", "seed-file": "munge.seed"}  # fmt: skip
        self("munged", "--force", *(f"--{n}={self.folder / path}" for n, path in own.items()))
        with socket.socket() as one, socket.socket() as other:
            for s in (one, other):
                s.bind(("127.0.0.1", 0))
            ports = [s.getsockname()[1] for s in (one, other)]
        host = socket.gethostname().split(".")[0]
        text = CONF.format(host=host, ports=ports, folder=self.folder)
        Path(self.environment["SLURM_CONF"]).write_text(text)
        self("slurmctld")
        wait_until(lambda: "UP" in self._ping(), "slurmctld")
        self("slurmd")
        wait_until(lambda: self("sinfo", "-h", "-o", "%T").strip() == "idle", "an idle node")

    def _ping(self) -> str:
        command = ["scontrol", "ping"]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True).stdout

    def stop(self):
        pids = [self.folder / f"{name}.pid" for name in ("slurmctld", "slurmd", "munge")]
        if pids[1].exists():
            self("scancel", "--user=root")
            wait_until(lambda: not self("squeue", "-h").strip(), "an empty queue")
        for pid in (int(path.read_text()) for path in pids if path.exists()):
            os.kill(pid, 15)
            wait_until(lambda pid=pid: not Path(f"/proc/{pid}").exists(), f"the end of {pid}")
