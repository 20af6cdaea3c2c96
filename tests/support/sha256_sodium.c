/* The names are changed before the first include, so that header and source agree on the new ones. */
#undef HAVE_LIBCRYPTO
#define sha256 sha256_sodium
#define sha256_of sha256_sodium_of
#define sha256_new sha256_sodium_new
#define sha256_update sha256_sodium_update
#define sha256_final sha256_sodium_final
#define sha256_free sha256_sodium_free
#define hmac256_of hmac256_sodium_of
#include "core/sha256.c" /* NOLINT(bugprone-suspicious-include) */
