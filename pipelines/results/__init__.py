"""What finished commands leave, as types: read once here, and by nobody else from the file."""
