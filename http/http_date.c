/*
 * The proleptic Gregorian calendar, counted in eras of 400 years that begin
 * on the first of March, so that a leap day is the last day of its year.
 */
#include "base/small.h"

#include "http/http_date.h"

#include <string.h>

enum { DAY = 86400, ERA_DAYS = 146097 };

static void put_two(uint8_t *to, unsigned value)
{
    to[0] = (uint8_t)('0' + value / 10 % 10);
    to[1] = (uint8_t)('0' + value % 10);
}

void http_date(uint64_t seconds, uint8_t to[HTTP_DATE_LEN])
{
    static const char weekdays[] = "ThuFriSatSunMonTueWed";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const uint64_t last = 253402300799; /* 9999-12-31 23:59:59 */

    if (seconds > last)
        seconds = last;
    unsigned days = (unsigned)(seconds / DAY);
    unsigned second = (unsigned)(seconds % DAY);

    unsigned march_days = days + 719468; /* since 0000-03-01 */
    unsigned era = march_days / ERA_DAYS;
    unsigned day_of_era = march_days % ERA_DAYS;
    unsigned year_of_era = (day_of_era - day_of_era / 1460 +
                            day_of_era / 36524 - day_of_era / 146096) /
                           365;
    unsigned day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned march_month = (5 * day_of_year + 2) / 153;
    unsigned day = day_of_year - (153 * march_month + 2) / 5 + 1;
    unsigned month = march_month < 10 ? march_month + 2 : march_month - 10;
    unsigned year = era * 400 + year_of_era + (month < 2 ? 1 : 0);

    memcpy(to, "Thu, 01 Jan 1970 00:00:00 GMT", HTTP_DATE_LEN);
    memcpy(to, weekdays + (size_t)days % 7 * 3, 3);
    put_two(to + 5, day);
    memcpy(to + 8, months + (size_t)month * 3, 3);
    put_two(to + 12, year / 100);
    put_two(to + 14, year % 100);
    put_two(to + 17, second / 3600);
    put_two(to + 20, second / 60 % 60);
    put_two(to + 23, second % 60);
}
