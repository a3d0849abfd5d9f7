/*
 * What AddressSanitizer must be told of memory we manage ourselves, so that it
 * finds the use of a pool's object after it was given back. Without it, all of
 * this is nothing.
 */
#ifndef BASE_SANITIZER_H
#define BASE_SANITIZER_H

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ADDRESS_SANITIZER 1
#endif
#endif

#ifdef ADDRESS_SANITIZER

#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

static inline void memory_forbid(void *at, size_t len)
{
    __asan_poison_memory_region(at, len);
}

static inline void memory_allow(void *at, size_t len)
{
    __asan_unpoison_memory_region(at, len);
}

#else

static inline void memory_forbid(void *at, size_t len)
{
    (void)at;
    (void)len;
}

static inline void memory_allow(void *at, size_t len)
{
    (void)at;
    (void)len;
}

#endif
#endif
