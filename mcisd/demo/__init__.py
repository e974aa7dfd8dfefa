"""`mcisd demo`: the demonstration as a readable story. In: a bare machine. Out: steps that held, with their times."""
