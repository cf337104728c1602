"""The trial of the watch: good releases under noisy load must stay, faulty ones must be found. `make watch-trial`."""
