"""gundog.yaml, a project folder, and making a new one."""
