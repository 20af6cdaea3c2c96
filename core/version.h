/* version: what this program calls itself: `nightjar version`, and the User-Agent of its requests. */
#ifndef NIGHTJAR_CORE_VERSION_H
#define NIGHTJAR_CORE_VERSION_H

#define NIGHTJAR_VERSION "0.1.0"

#endif
