"""Everything that knows of folders and studies: data, merging, scoring, comparison, report, command line."""
