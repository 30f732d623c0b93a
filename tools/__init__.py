"""Scripts for people who work on tiercare: they write files of the project and are not part of what runs."""
