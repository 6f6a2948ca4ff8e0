"""What the repository tells its readers is true: rules load, commands print what is shown, tables are those of the code."""
