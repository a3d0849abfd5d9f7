/* Dates, media types, ranges and paths: values in, values out. */
#include "http/http_date.h"
#include "http/http_mime.h"
#include "http/http_path.h"
#include "http/http_range.h"

#include <stdlib.h>
#include <time.h>

#include "test/test.h"

static bool is(struct bytes b, const char *text)
{
    return bytes_equal(b, bytes_of_string(text));
}

static bool date_is(uint64_t seconds, const char *text)
{
    uint8_t date[HTTP_DATE_LEN];
    http_date(seconds, date);
    return is(BYTES(date), text);
}

static void dates_are_written_as_rfc_9110_has_them(void)
{
    CHECK(date_is(784111777, "Sun, 06 Nov 1994 08:49:37 GMT"));
    CHECK(date_is(0, "Thu, 01 Jan 1970 00:00:00 GMT"));
    CHECK(date_is(951782400, "Tue, 29 Feb 2000 00:00:00 GMT"));
    CHECK(date_is(4107542399, "Sun, 28 Feb 2100 23:59:59 GMT"));
    CHECK(date_is(4107542400, "Mon, 01 Mar 2100 00:00:00 GMT"));
    CHECK(date_is(253402300799, "Fri, 31 Dec 9999 23:59:59 GMT"));
    CHECK(date_is(UINT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT"));
}

static void any_date_is_that_of_the_c_library(void)
{
    srand(1);
    for (int i = 0; i < 10000; i++) {
        time_t t = (time_t)rand() * 117 + rand() % 117;
        struct tm tm;
        char text[40];
        CHECK(gmtime_r(&t, &tm) != NULL);
        CHECK(strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &tm) >
              0);
        CHECK(date_is((uint64_t)t, text));
    }
}

static void media_types_go_by_the_ending(void)
{
    CHECK(is(http_mime(TEXT("index.html")), "text/html; charset=utf-8"));
    CHECK(is(http_mime(TEXT("a/b.c/LOGO.SVG")), "image/svg+xml"));
    CHECK(is(http_mime(TEXT("x.tar.gz")), "application/gzip"));
    CHECK(is(http_mime(TEXT("x.7z")), "application/x-7z-compressed"));
    CHECK(is(http_mime(TEXT("x.zst")), "application/zstd"));
    CHECK(is(http_mime(TEXT("a.webmanifest")), "application/manifest+json"));
}

static void without_a_known_ending_it_is_bytes(void)
{
    static const char *const keys[] = {"",
                                       "html",
                                       ".html",
                                       "a/.html",
                                       "a.",
                                       "a.b/c",
                                       "x.unknown",
                                       "x.webmanifests",
                                       "x.htmlhtmlhtmlhtml",
                                       "x.h\xc3\xa9"};
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        CHECK(is(http_mime(bytes_of_string(keys[i])),
                 "application/octet-stream"));
}

static void a_range_lies_within_the_size(void)
{
    struct http_range r;
    CHECK_EQ(http_range(TEXT("bytes=0-499"), 1000, &r), HTTP_RANGE_ONE);
    CHECK(r.first == 0 && r.len == 500);
    CHECK_EQ(http_range(TEXT("bytes= 999- "), 1000, &r), HTTP_RANGE_ONE);
    CHECK(r.first == 999 && r.len == 1);
    CHECK_EQ(http_range(TEXT("bytes=-5000"), 1000, &r), HTTP_RANGE_ONE);
    CHECK(r.first == 0 && r.len == 1000);
    CHECK_EQ(http_range(TEXT("bytes=1-18446744073709551615"), UINT64_MAX, &r),
             HTTP_RANGE_ONE);
    CHECK(r.first == 1 && r.len == UINT64_MAX - 1);
    CHECK_EQ(http_range(TEXT("bytes=1000-"), 1000, &r),
             HTTP_RANGE_UNSATISFIABLE);
    CHECK_EQ(http_range(TEXT("bytes=-5"), 0, &r), HTTP_RANGE_UNSATISFIABLE);
    CHECK_EQ(http_range(TEXT("bytes=0-0,-1"), 1000, &r), HTTP_RANGE_IGNORE);
    CHECK_EQ(http_range(TEXT("bytes 0-1"), 1000, &r), HTTP_RANGE_IGNORE);
    CHECK_EQ(http_range(TEXT("bytes="), 1000, &r), HTTP_RANGE_IGNORE);
}

static const char *plain(const char *path)
{
    static char text[256];
    uint8_t room[256];
    struct bytes result;
    switch (http_path(bytes_of_string(path), room, &result)) {
    case HTTP_PATH_FINE:
        break;
    case HTTP_PATH_MALFORMED:
        return "malformed";
    case HTTP_PATH_NOWHERE:
        return "nowhere";
    }
    memcpy(text, result.at, result.len);
    text[result.len] = 0;
    return text;
}

static void dot_segments_are_removed_as_in_rfc_3986_section_5_2_4(void)
{
    CHECK_STRING(plain("/a/b/c/./../../g"), "/a/g");
    CHECK_STRING(plain("/"), "/");
    CHECK_STRING(plain("/."), "/");
    CHECK_STRING(plain("/.."), "/");
    CHECK_STRING(plain("/../../x"), "/x");
    CHECK_STRING(plain("/a/."), "/a/");
    CHECK_STRING(plain("/a/.."), "/");
    CHECK_STRING(plain("/a/b/.."), "/a/");
    CHECK_STRING(plain("/a//../b"), "/a/b");
    CHECK_STRING(plain("//"), "//");
    CHECK_STRING(plain("/.well-known/..x/...x"), "/.well-known/..x/...x");
}

static void encodings_are_decoded_before_dots_are_looked_for(void)
{
    CHECK_STRING(plain("/%61%2E%62"), "/a.b");
    CHECK_STRING(plain("/a/%2e%2E/b"), "/b");
    CHECK_STRING(plain("/a/%2e./%62"), "/b");
    CHECK_STRING(plain("/100%25"), "/100%");
    CHECK_STRING(plain("/%252e%252e/"), "/%2e%2e/");
    CHECK_STRING(plain("/a%2fb"), "nowhere");
    CHECK_STRING(plain("/%"), "malformed");
    CHECK_STRING(plain("/%a"), "malformed");
    CHECK_STRING(plain("/%a/b"), "malformed");
    CHECK_STRING(plain("/%g0"), "malformed");
    CHECK_STRING(plain("/a%00"), "malformed");
}

int main(void)
{
    RUN(dates_are_written_as_rfc_9110_has_them);
    RUN(any_date_is_that_of_the_c_library);
    RUN(media_types_go_by_the_ending);
    RUN(without_a_known_ending_it_is_bytes);
    RUN(a_range_lies_within_the_size);
    RUN(dot_segments_are_removed_as_in_rfc_3986_section_5_2_4);
    RUN(encodings_are_decoded_before_dots_are_looked_for);
    return test_result();
}
