"""Lambda: corrections of the processes that functions run in and of asynchronous invocations."""
