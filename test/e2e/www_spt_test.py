#!/usr/bin/env python3
"""www on spt, through a tap: see www.py."""
import www

www.main("spt")
