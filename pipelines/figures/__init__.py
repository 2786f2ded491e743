"""Every picture that a command leaves."""
