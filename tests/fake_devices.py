"""A machine with so many GPUs, as configuration.devices.probe would find them."""

from configuration.devices import ABSENT, Found


def present(gpus: int, **more: Found):
    """`probe` of a machine with cuda:0 to cuda:(gpus - 1); more: other answers by name."""

    def answer(name):
        index = int(name[5:]) if name.startswith("cuda") else gpus * (name != "cpu")
        return Found(ABSENT if name != "cpu" and index >= gpus else None)

    return lambda names: {name: more.get(name) or answer(name) for name in names}
