"""Lambda: corrections of function processes and asynchronous invocations."""
