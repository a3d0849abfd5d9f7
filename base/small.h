/*
 * Include first in a source that runs seldom: it is compiled small rather than
 * fast. (A pragma, which clang does not have: there it changes nothing.)
 */
#ifndef BASE_SMALL_H
#define BASE_SMALL_H

#ifndef __clang__
#pragma GCC optimize("Os")
#endif

#endif
