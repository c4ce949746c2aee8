def write_basin(): pass
