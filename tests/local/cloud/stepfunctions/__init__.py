"""Step Functions: corrections of definitions, executions, tasks and Map states."""
