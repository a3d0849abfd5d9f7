#!/usr/bin/env python3
"""www on unix-san, through a tap: with sanitizers: see www.py."""
import www

www.main("unix-san")
