"""How messages are worded: values, the nearest word, lists, durations."""
