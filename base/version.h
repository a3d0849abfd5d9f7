/* The version of Fata, for every program that tells it. */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#define FATA_VERSION "0.1.0"

#endif
