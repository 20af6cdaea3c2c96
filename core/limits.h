/*
 * limits: the largest of everything. A length that comes from outside is compared with one of
 * these before it is allocated, multiplied or believed. Units in the names. FORMAT.md §10 lists
 * the same numbers for other readers.
 */
#ifndef NIGHTJAR_CORE_LIMITS_H
#define NIGHTJAR_CORE_LIMITS_H

#define LIMIT_CHUNK_BYTES (8u << 20)           /* plaintext of one record */
#define LIMIT_RECORD_BYTES ((8u << 20) + 4096) /* stored: incompressible chunk + tag */
#define LIMIT_BASES 3u                         /* bases of one delta record */
#define LIMIT_DEPTH 255u                       /* delta depth a reader accepts */
#define LIMIT_CLOSURE 1024u                    /* records a reader decodes for one chunk */
#define LIMIT_BASES_HELD_BYTES (256u << 20)    /* plaintext of bases a reader holds at once */
#define LIMIT_PACK_BYTES (64u << 20)           /* whole pack; writers aim at 16 MiB */
#define LIMIT_PACK_SLOTS 4096u                 /* key table entries */
#define LIMIT_PACK_RECORDS 262144u
#define LIMIT_DIRECTORY_BYTES (40u << 20)
#define LIMIT_INDEX_BYTES (256u << 20) /* one index segment */
#define LIMIT_MANIFEST_BYTES (64u << 20)
#define LIMIT_TAGREC_BYTES (4u << 20) /* a floor of 1 MiB and 256 tags fit */
#define LIMIT_DAMAGE_BYTES (8u << 20)
#define LIMIT_DAMAGE_PLACES 131072u /* of one damage note */
#define LIMIT_RETIRE_BYTES (16u << 20)
#define LIMIT_RETIRED 131072u        /* backups of one retire record */
#define LIMIT_DRILL_BYTES (4u << 20) /* a floor of 1 MiB fits */
#define LIMIT_CONDEMN_BYTES (8u << 20)
#define LIMIT_CONDEMN_PACKS 131072u /* of one condemn record */
#define LIMIT_KEPT 131072u          /* backups of a revoked writer that count */
#define LIMIT_ROSTER_BYTES (16u << 20)
#define LIMIT_KEY_OBJECT_BYTES (16u << 20) /* anything in keys/ */
#define LIMIT_CONFIG_BYTES 4096u
#define LIMIT_NODE_CHILDREN 65536u  /* ids in one list record */
#define LIMIT_NODE_BYTES (8u << 20) /* one tree or chunk-list body */
#define LIMIT_NODE_LEVELS 8u
#define LIMIT_IMAGE_CHUNKS (1u << 24) /* of one database: 1 TiB of cells */
#define LIMIT_TREE_DEPTH 1024u        /* folders inside folders, below a source */
#define LIMIT_READ_DEPTH 1536u /* in all, with the folders above the source; readers refuse more */
#define LIMIT_NAME_BYTES 4095u /* one file name; Linux itself allows 255 */
#define LIMIT_PATH_BYTES 65535u
#define LIMIT_XATTRS 1024u
#define LIMIT_XATTR_BYTES 65536u /* one value; the kernel's own limit */
#define LIMIT_EXTENTS 16384u     /* data extents of one sparse file; more: stored dense */
#define LIMIT_TAGS 256u
#define LIMIT_TAG_BYTES 255u
#define LIMIT_HOST_BYTES 255u
#define LIMIT_SOURCES 4096u
#define LIMIT_DATABASES 65536u
#define LIMIT_DB_TABLES 65536u
#define LIMIT_REFS 256u           /* reference queries of one backup */
#define LIMIT_REF_BYTES 65535u    /* one query, or the name of its database */
#define LIMIT_DB_TREES (1u << 20) /* b-trees of one database that are taken apart */
#define LIMIT_PARENTS 64u
#define LIMIT_WRITERS 4096u
#define LIMIT_KEY_DOMAINS 64u /* domains one key file carries */
#define LIMIT_EPOCHS 64u
#define LIMIT_SIGHTINGS (1u << 20) /* backups that a host keeps in mind */
#define LIMIT_SIGHTINGS_BYTES (96u << 20)
#define LIMIT_STORE_NAMES (64u << 20) /* names one listing may give */
#define LIMIT_REST_NAMES                                                                           \
	(4u << 20) /* of a rest: store, held at 40 bytes each: 64 TiB in packs of 16 MiB */
#define LIMIT_URL_BYTES 2048u

/* Not of the format: what an SFTP server may answer. */
#define LIMIT_SFTP_PACKET_BYTES (256u << 10) /* without its length; OpenSSH's own limit */
#define LIMIT_SFTP_HANDLE_BYTES 256u         /* the protocol's */
#define LIMIT_SFTP_LISTED (2u << 20)         /* entries of one listing, foreign ones included */

/* What an S3 server says, beside objects. */
#define LIMIT_S3_LIST_BYTES (8u << 20) /* one page of a listing; a thousand names are some 400 kB */
#define LIMIT_S3_TEXT_BYTES 4096u /* one element's text; a name has at most 1,024, encoded 3,072 */
#define LIMIT_S3_DEPTH 8u
#define LIMIT_S3_ATTRIBUTES 16u

/* Argon2id parameters that are accepted on reading. */
#define LIMIT_KDF_MIN_PASSES 1u
#define LIMIT_KDF_MAX_PASSES 64u
#define LIMIT_KDF_MIN_KIB 8192u
#define LIMIT_KDF_MAX_KIB (4u << 20)

#define LIMIT_PASSWORD_BYTES 4096u

#endif
