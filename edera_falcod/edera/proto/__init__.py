"""Generated message classes of Edera's control interface; use them through ``edera/control.py`` only."""
