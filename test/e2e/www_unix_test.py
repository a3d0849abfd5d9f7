#!/usr/bin/env python3
"""www on unix, through a tap: see www.py."""
import www

www.main("unix")
