"""gundog.yaml, a project folder, and making a new one.

- `project`: a project folder read (`load_project`).
- `settings`: gundog.yaml as one value.
- `scaffold`: what `gundog init` and `gundog new` write.
"""
