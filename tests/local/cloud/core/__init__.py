"""Settings, process environment and service registration. All other packages use this one."""
