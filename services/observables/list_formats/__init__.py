"""List formats: plug-ins that write a list as a device or tool reads it."""
