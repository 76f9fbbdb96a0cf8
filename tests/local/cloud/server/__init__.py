"""The running process: its start and end, the list of corrections, and the control API under `/_cloud/`."""
