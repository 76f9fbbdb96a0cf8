"""What every other package needs: the settings, the process environment and the registration of services."""
