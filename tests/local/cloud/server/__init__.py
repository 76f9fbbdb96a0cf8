"""The server process: start and stop, the list of corrections, and the control API under `/_cloud/`."""
