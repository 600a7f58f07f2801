"""Which runs are due, and the processes that compute them."""
