"""One file per metric group: kernel text in, rows of floats out."""
