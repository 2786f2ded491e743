"""Everything that knows of folders and studies, in layers: see docs/design.md."""
