"""Reading strangers' files: bounded, and without running anything they hold."""
