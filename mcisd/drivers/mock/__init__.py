"""A scripted cloud inside the process, for tests, rehearsals and load: no VM of it is real."""
