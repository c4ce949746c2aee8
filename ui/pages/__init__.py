"""The pages of the dock, one file each."""
