"""Things to run and to watch: `make run` and `make demo`."""
