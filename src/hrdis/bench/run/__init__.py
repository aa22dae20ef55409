"""The run folder, and the engines that work units off."""
