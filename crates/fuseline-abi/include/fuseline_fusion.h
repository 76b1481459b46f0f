/* fuseline_fusion.h: the C ABI of fusion rules, version 1.0.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * A fusion rule turns the evidence of several modalities (class probabilities), their availability and their quality into
 * one row of class probabilities per example. It is a shared library that exports two symbols:
 *
 *   fuseline_fusion_tag    bytes that say what the file is; the host reads them from the file without running any of its code
 *   fuseline_fusion_init   fills the table of functions below
 *
 * This header is the whole specification, and all that a rule needs: no library, no Arrow, no JSON parser.
 *
 *   cc -std=c99 -O2 -shared -fPIC -fvisibility=hidden -o my_rule.so my_rule.c -lm
 *
 * Rules that hold everywhere
 *   - Nothing that crosses the border changes its owner, and nobody frees the other side's memory; a model, which only its
 *     plugin knows, goes back to `close`.
 *   - Every struct starts with its size and flags. Whoever allocates it sets `struct_size`; the other side touches only the
 *     first min(struct_size, its own sizeof) bytes and takes what is absent as zero. Fields are only ever appended. Reserved
 *     bits and fields are 0, and refused otherwise. (fsl_string is a value, not such a struct.)
 *   - Strings are pointer and length, UTF-8, never NUL-dependent.
 *   - A function returns FSL_OK (0) or one of the FSL_ERR codes. After anything but FSL_OK the outputs are undefined and are
 *     not read, but for the fsl_error.
 *   - Nothing unwinds or jumps across the border: no C++ exception, no longjmp.
 *   - The same bytes in give the same bytes out, whatever the threads, the split into batches, the order of rows, the locale
 *     or the clock. All randomness comes from `seed`. No files, environment, network or standard output. The rounding mode and
 *     the locale are left as found.
 *   - Functions may be called from many threads at once. A plugin uses at most fsl_host.max_threads threads in a call and joins
 *     them before it returns. A call asks fsl_should_stop() at least every 100 ms of work and then returns FSL_ERR_CANCELLED.
 *   - 64-bit little-endian targets only.
 */
#ifndef FUSELINE_FUSION_H
#define FUSELINE_FUSION_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FSL_ABI_MAJOR 1u
#define FSL_ABI_MINOR 0u
#define FSL_ABI ((FSL_ABI_MAJOR << 16) | FSL_ABI_MINOR)

#if defined(_WIN32)
#define FSL_EXPORT __declspec(dllexport)
#elif defined(__GNUC__)
#define FSL_EXPORT __attribute__((visibility("default")))
#else
#define FSL_EXPORT
#endif

#if defined(__cplusplus)
#define FSL_STATIC_ASSERT(condition, name) static_assert(condition, #name)
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define FSL_STATIC_ASSERT(condition, name) _Static_assert(condition, #name)
#else
#define FSL_STATIC_ASSERT(condition, name) typedef char fsl_assert_##name[(condition) ? 1 : -1]
#endif

/* ---- Codes ------------------------------------------------------------------------------------------------------------ */

#define FSL_OK 0
#define FSL_ERR_ABI 1           /* built for another ABI */
#define FSL_ERR_PARAM 2         /* a parameter is wrong; fsl_error.param names it, as a path: "penalty" or "tree.depth" */
#define FSL_ERR_DATA 3          /* the batch or the model bytes are wrong; fsl_error.row names the row, or is -1 */
#define FSL_ERR_UNSUPPORTED 4   /* a valid request that this rule does not serve, as too many classes */
#define FSL_ERR_NOT_CONVERGED 5 /* the fit did not come to an end */
#define FSL_ERR_CANCELLED 6     /* fsl_should_stop() said so */
#define FSL_ERR_OUT_OF_MEMORY 7
#define FSL_ERR_INTERNAL 8 /* a defect of the plugin: an exception, a panic, a broken invariant */

/* ---- Strings and errors ----------------------------------------------------------------------------------------------- */

typedef struct fsl_string {
  const char *ptr; /* not NUL-terminated; may be NULL when len is 0 */
  uint64_t len;    /* bytes */
} fsl_string;

/* What went wrong. The caller allocates it, zeroed but for struct_size and row = -1; the callee fills it before it returns a
 * code other than FSL_OK. The buffers are inline, so there is nothing to free. Text is UTF-8, cut to fit, NUL-terminated. */
typedef struct fsl_error {
  uint32_t struct_size;
  uint32_t flags;
  int32_t code;      /* as returned */
  int32_t retryable; /* 1 when the same call may succeed later, as after FSL_ERR_OUT_OF_MEMORY */
  int64_t row;       /* index in the batch, or -1 */
  char param[128];   /* path of the parameter, or empty */
  char message[1024];
} fsl_error;

/* ---- What the host offers --------------------------------------------------------------------------------------------- */

/* Valid for as long as the plugin is loaded. The functions may be called from any thread. */
typedef struct fsl_host {
  uint32_t struct_size;
  uint32_t flags;
  void *context;        /* the host's own; pass the fsl_host, not this */
  uint32_t max_threads; /* how many threads a call may use, itself included; at least 1 */
  uint32_t reserved;    /* 0 */
  /* 1 when the call that `call` (fsl_batch.call) belongs to shall end. */
  int32_t (*should_stop)(const struct fsl_host *host, const void *call);
  /* How far the call is, from 0 to 1. */
  void (*progress)(const struct fsl_host *host, const void *call, double fraction);
  /* level: 0 error, 1 warning, 2 information, 3 detail. What fit says at level 0 or 1 on the thread that it was called on
   * is a caution of the run and stands in its report: a search that did not converge, say. One line, without a full stop;
   * the same inputs give the same lines. */
  void (*log)(const struct fsl_host *host, int32_t level, fsl_string message);
} fsl_host;

/* ---- The Arrow C Data Interface, as https://arrow.apache.org/docs/format/CDataInterface.html gives it -------------------- */

#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE

#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4

struct ArrowSchema {
  const char *format;
  const char *name;
  const char *metadata;
  int64_t flags;
  int64_t n_children;
  struct ArrowSchema **children;
  struct ArrowSchema *dictionary;
  void (*release)(struct ArrowSchema *);
  void *private_data;
};

struct ArrowArray {
  int64_t length;
  int64_t null_count;
  int64_t offset;
  int64_t n_buffers;
  int64_t n_children;
  const void **buffers;
  struct ArrowArray **children;
  struct ArrowArray *dictionary;
  void (*release)(struct ArrowArray *);
  void *private_data;
};

#endif /* ARROW_C_DATA_INTERFACE */

/* ---- Batches ---------------------------------------------------------------------------------------------------------- */

/* Rows to fit on or to predict. Borrowed for the call: never released, written to or kept by the plugin.
 *
 * `array` is one struct array described by `schema`, in a canonical layout: offset 0, no nulls, no validity buffers, every
 * value buffer non-NULL (also with 0 rows) and 64-byte aligned. Its columns, found by name:
 *
 *   row_id               uint64                            tells rows apart; not a feature
 *   evidence             fixed_size_list<double>[M * K]    class probabilities, modality-major: row i, modality m, class k lies
 *                                                          at [(i * M + m) * K + k]
 *   available            fixed_size_list<uint8>[M]         1 where the modality is there, else 0
 *   quality              fixed_size_list<double>[M]        how reliable the modality is said to be; any scale
 *   embedding_MODALITY   fixed_size_list<double>[width]    optional, for rules that say accepts_embeddings
 *   label                int32                             in fit alone, unless target is there: 0 .. K - 1
 *   target               double                            in fit alone, where the label is a number: finite
 *   weight               double                            in fit alone: > 0
 *
 * Where available is 0, evidence, quality and embedding of that modality are unspecified and must not influence anything.
 *
 * Where the label is a number, K is 1 and evidence is the number that each modality's expert expects, of any sign and size.
 * Only rules whose capabilities say "regression" are given such batches. */
typedef struct fsl_batch {
  uint32_t struct_size;
  uint32_t flags;
  uint64_t rows;
  uint32_t modalities;              /* M, at least 1 */
  uint32_t classes;                 /* K, at least 2; 1 where the label is a number */
  const fsl_string *modality_names; /* M of them, in the order of the evidence */
  const fsl_string *class_names;    /* K of them */
  const struct ArrowSchema *schema;
  const struct ArrowArray *array;
  const void *call; /* what fsl_should_stop() asks about */
} fsl_batch;

/* ---- Params ----------------------------------------------------------------------------------------------------------- */

/* The parameters, checked against the descriptor's schema, with its defaults filled in. */
typedef struct fsl_params {
  uint32_t struct_size;
  uint32_t flags;
  const void *context; /* the host's own */
  fsl_string json;     /* one JSON object, keys sorted, no white space */
  /* Each gives FSL_OK, or FSL_ERR_PARAM when there is no such parameter or it has another type. `path` is a name, or names
   * joined by dots. Strings live as long as the fsl_params. get_f64 also takes an integer. */
  int32_t (*get_f64)(const struct fsl_params *params, fsl_string path, double *out);
  int32_t (*get_i64)(const struct fsl_params *params, fsl_string path, int64_t *out);
  int32_t (*get_str)(const struct fsl_params *params, fsl_string path, fsl_string *out);
  int32_t (*get_bool)(const struct fsl_params *params, fsl_string path, int32_t *out);
} fsl_params;

/* ---- Models ----------------------------------------------------------------------------------------------------------- */

/* Where fit writes the model. When write gives anything but FSL_OK, return that code. */
typedef struct fsl_sink {
  uint32_t struct_size;
  uint32_t flags;
  void *context; /* the host's own */
  int32_t (*write)(const struct fsl_sink *sink, const uint8_t *bytes, uint64_t len);
} fsl_sink;

/* An opened model: what it is, only the plugin knows. Immutable; used by many threads at once. */
typedef struct fsl_model fsl_model;

/* ---- The table a plugin fills ------------------------------------------------------------------------------------------ */

typedef struct fsl_fusion_plugin {
  uint32_t struct_size;
  uint32_t flags;
  /* Static JSON:
   *   { "id": "org.example.product",        reverse domain; the last part is the rule's short name; as in the tag
   *     "name": "product of experts", "version": "1.2.3", "licence": "MIT", "summary": "one line",
   *     "params": { JSON Schema 2020-12 of an object; every property with a default, unless it is required },
   *     "limits": { "modalities": 64, "classes": 1000 },
   *     "capabilities": { "uses_quality": true,       quality can change what is predicted
   *                       "row_independent": true,    a row's prediction does not depend on the rows beside it
   *                       "accepts_missing": true,    rows may have unavailable modalities, even all of them
   *                       "accepts_embeddings": false,
   *                       "fits": true,                 optional, true when left out: fit serves
   *                       "loads": false,               optional, false when left out: there is the extension FSL_LOAD
 *                       "regression": false },        optional, false when left out: takes a label that is a number too
   *     "accepts": { "modalities": "exactly 3" } }      optional: `exactly N` or `at least N` modalities or classes        */
  fsl_string descriptor;

  /* Fits on a batch that has labels and weights, and writes the model: self-contained bytes, which say their own version.
   * Their digest is the frozen model's identity: the same batch, params and seed give the same bytes. */
  int32_t (*fit)(const fsl_batch *batch, const fsl_params *params, uint64_t seed, const fsl_sink *sink, fsl_error *err);

  /* Reads what fit wrote, perhaps in another process, into *model. Truncated, flipped and empty bytes are FSL_ERR_DATA. */
  int32_t (*open)(const uint8_t *bytes, uint64_t len, fsl_model **model, fsl_error *err);

  /* Frees what open made. */
  void (*close)(fsl_model *model);

  /* Fills rows * K probabilities, row-major: finite, >= 0, and each row's sum within 1e-9 of 1; where the label is a number,
   * rows finite numbers. There are no labels here.
   * A batch whose modalities or classes are not those of the fit is FSL_ERR_DATA. */
  int32_t (*predict)(const fsl_model *model, const fsl_batch *batch, double *out, fsl_error *err);

  /* A pointer to a static struct of functions, or NULL when the id is unknown. Ids are "fuseline.NAME/REVISION", and
   * "reverse.domain.NAME/REVISION" for everyone else, who never append to the structs above. May be NULL. */
  const void *(*get_extension)(fsl_string id);
} fsl_fusion_plugin;

/* ---- Extension: predict under permuted quality ------------------------------------------------------------------------- */

#define FSL_PERMUTED_PREDICT "fuseline.permuted_predict/1"

/* A fast path. For each permutation p, row i is predicted from its own evidence and availability, and for every modality m
 * whose bit (1 << m) is set in modality_mask from the quality of row index[(p * columns + c) * rows + i], where c = 0 if columns
 * is 1 (all modalities move together) and c = m if columns is M. Where modality m is unavailable in the row it comes from, that
 * quality is 0. `out` takes permutations * rows * K probabilities. The result equals, bit for bit, a loop of predict over batches
 * with the quality so gathered. A plugin without it is looped by the host. */
typedef struct fsl_permuted_predict {
  uint32_t struct_size;
  uint32_t flags;
  int32_t (*predict_permuted)(const fsl_model *model, const fsl_batch *batch, const uint32_t *index, uint64_t permutations,
                              uint32_t columns, uint64_t modality_mask, double *out, fsl_error *err);
} fsl_permuted_predict;

/* ---- Extension: load a model that was fitted elsewhere ------------------------------------------------------------------ */

#define FSL_LOAD "fuseline.load/1"

/* One file, read whole by the host. A value, not a struct of its own size. */
typedef struct fsl_file {
  fsl_string name;      /* the name that the workflow gives it, such as "weights" */
  fsl_string file_name; /* its name without folders, such as "gate.pt" */
  const uint8_t *bytes; /* non-NULL, also when len is 0 */
  uint64_t len;
} fsl_file;

/* What a model is loaded from. Borrowed for the call. */
typedef struct fsl_load_source {
  uint32_t struct_size;
  uint32_t flags;
  const fsl_file *files; /* file_count of them, sorted by name */
  uint64_t file_count;
  const fsl_string *modality_names; /* in the order of the model's inputs: batches come in this order */
  const fsl_string *class_names;    /* in the order of the model's outputs */
  uint32_t modalities;
  uint32_t classes;
  const void *call; /* what fsl_should_stop() asks about, as fsl_batch.call */
} fsl_load_source;

/* Takes the place of fit for a model that was fitted elsewhere: reads its files and writes the model through the sink, as fit
 * does. `open` reads those bytes, perhaps in another process: all that it needs of the files is to be in them. The same files
 * and params give the same bytes. A file that is missing, superfluous or not what the rule reads is FSL_ERR_DATA. */
typedef struct fsl_load {
  uint32_t struct_size;
  uint32_t flags;
  int32_t (*load)(const fsl_load_source *source, const fsl_params *params, const fsl_sink *sink, fsl_error *err);
} fsl_load;

/* ---- Extension: answer a question ---------------------------------------------------------------------------------------- */

#define FSL_QUERY "fuseline.query/1"

/* Bytes in, bytes out, in a format that the plugin and who asks agree on: a stage kind whose work belongs into a process of its
 * own, as `expert.onnx` asks the rule `onnx`. The answer is a function of the question alone. `call` is what fsl_should_stop()
 * asks about, as fsl_batch.call. */
typedef struct fsl_query {
  uint32_t struct_size;
  uint32_t flags;
  int32_t (*query)(const uint8_t *question, uint64_t len, const void *call, const fsl_sink *sink, fsl_error *err);
} fsl_query;

/* ---- What a plugin exports ---------------------------------------------------------------------------------------------- */

/* Fills *out. `host_abi` is major << 16 | minor of the host. Another major is refused with FSL_ERR_ABI; a host with a smaller
 * minor may have smaller structs. May be called again, and from two threads at once, each time with the same effect. */
FSL_EXPORT int32_t fuseline_fusion_init(uint32_t host_abi, const fsl_host *host, fsl_fusion_plugin *out, fsl_error *err);

/* "FUSELINE-FUSION\0abi=1.0\0id=ID\0\0". Use FSL_TAG("org.example.product") once, outside any function, without `;`. */
FSL_EXPORT extern const char fuseline_fusion_tag[];
#define FSL_TAG(id) const char fuseline_fusion_tag[] = "FUSELINE-FUSION\0abi=1.0\0id=" id "\0";

/* ---- The layout, asserted ------------------------------------------------------------------------------------------------ */

FSL_STATIC_ASSERT(sizeof(void *) == 8, pointers_have_64_bits);
FSL_STATIC_ASSERT(sizeof(fsl_string) == 16, size_of_string);
FSL_STATIC_ASSERT(sizeof(fsl_error) == 1176, size_of_error);
FSL_STATIC_ASSERT(offsetof(fsl_error, message) == 152, place_of_error_message);
FSL_STATIC_ASSERT(sizeof(fsl_host) == 48, size_of_host);
FSL_STATIC_ASSERT(sizeof(struct ArrowSchema) == 72, size_of_arrow_schema);
FSL_STATIC_ASSERT(sizeof(struct ArrowArray) == 80, size_of_arrow_array);
FSL_STATIC_ASSERT(sizeof(fsl_batch) == 64, size_of_batch);
FSL_STATIC_ASSERT(sizeof(fsl_params) == 64, size_of_params);
FSL_STATIC_ASSERT(sizeof(fsl_sink) == 24, size_of_sink);
FSL_STATIC_ASSERT(sizeof(fsl_fusion_plugin) == 64, size_of_fusion_plugin);
FSL_STATIC_ASSERT(sizeof(fsl_permuted_predict) == 16, size_of_permuted_predict);
FSL_STATIC_ASSERT(sizeof(fsl_file) == 48, size_of_file);
FSL_STATIC_ASSERT(sizeof(fsl_load_source) == 56, size_of_load_source);
FSL_STATIC_ASSERT(sizeof(fsl_load) == 16, size_of_load);
FSL_STATIC_ASSERT(sizeof(fsl_query) == 16, size_of_query);

/* ---- Conveniences: no more than C over the above -------------------------------------------------------------------------- */

/* A string that C knows. */
static inline fsl_string fsl_str(const char *text) {
  fsl_string string;
  string.ptr = text;
  string.len = (uint64_t)strlen(text);
  return string;
}

/* Whether a string is `text`. */
static inline int fsl_str_is(fsl_string string, const char *text) {
  size_t len = strlen(text);
  return string.len == (uint64_t)len && (len == 0 || memcmp(string.ptr, text, len) == 0);
}

/* Fills an error and gives its code: `return fsl_fail(err, FSL_ERR_DATA, row, "", "the evidence is negative");` */
static inline int32_t fsl_fail(fsl_error *err, int32_t code, int64_t row, const char *param, const char *message) {
  if (err != NULL && err->struct_size >= sizeof(fsl_error)) {
    size_t param_len = strlen(param);
    size_t message_len = strlen(message);
    if (param_len > sizeof(err->param) - 1) param_len = sizeof(err->param) - 1;
    if (message_len > sizeof(err->message) - 1) message_len = sizeof(err->message) - 1;
    err->code = code;
    err->row = row;
    memcpy(err->param, param, param_len);
    err->param[param_len] = '\0';
    memcpy(err->message, message, message_len);
    err->message[message_len] = '\0';
  }
  return code;
}

/* What fuseline_fusion_init does: refuses another major, copies the table as far as the host knows it, keeps struct_size. */
static inline int32_t fsl_publish(uint32_t host_abi, const fsl_fusion_plugin *table, fsl_fusion_plugin *out, fsl_error *err) {
  uint32_t size = out->struct_size;
  if (host_abi >> 16 != FSL_ABI_MAJOR) {
    char message[] = "built for ABI 1.0, this host speaks ?.?";
    message[sizeof(message) - 4] = (char)('0' + (host_abi >> 16) % 10u);
    message[sizeof(message) - 2] = (char)('0' + (host_abi & 0xffffu) % 10u);
    return fsl_fail(err, FSL_ERR_ABI, -1, "", message);
  }
  if (size > sizeof(fsl_fusion_plugin)) size = (uint32_t)sizeof(fsl_fusion_plugin);
  if (size > 2 * sizeof(uint32_t)) {
    memcpy((unsigned char *)out + 2 * sizeof(uint32_t), (const unsigned char *)table + 2 * sizeof(uint32_t),
           size - 2 * sizeof(uint32_t));
  }
  return FSL_OK;
}

/* A file by the name that the workflow gives it, or NULL. */
static inline const fsl_file *fsl_find_file(const fsl_load_source *source, const char *name) {
  uint64_t i;
  for (i = 0; i < source->file_count; i++) {
    if (fsl_str_is(source->files[i].name, name)) return &source->files[i];
  }
  return NULL;
}

/* Whether the call shall end. */
static inline int fsl_should_stop(const fsl_host *host, const fsl_batch *batch) {
  return host != NULL && host->should_stop != NULL && host->should_stop(host, batch->call) != 0;
}

/* A column by name, or NULL. */
static inline const struct ArrowArray *fsl_column(const fsl_batch *batch, const char *name) {
  int64_t i;
  for (i = 0; i < batch->schema->n_children; i++) {
    if (strcmp(batch->schema->children[i]->name, name) == 0) return batch->array->children[i];
  }
  return NULL;
}

/* The values of a column of numbers, or of the numbers inside a column of lists; NULL when there is no such column. */
static inline const void *fsl_values(const fsl_batch *batch, const char *name) {
  const struct ArrowArray *column = fsl_column(batch, name);
  if (column == NULL) return NULL;
  if (column->n_children == 1) column = column->children[0];
  return column->buffers[1];
}

/* Row i is at [i]. */
static inline const uint64_t *fsl_row_id(const fsl_batch *batch) { return (const uint64_t *)fsl_values(batch, "row_id"); }
/* Row i, modality m, class k is at [(i * M + m) * K + k]. */
static inline const double *fsl_evidence(const fsl_batch *batch) { return (const double *)fsl_values(batch, "evidence"); }
/* Row i, modality m is at [i * M + m]. */
static inline const uint8_t *fsl_available(const fsl_batch *batch) { return (const uint8_t *)fsl_values(batch, "available"); }
/* Row i, modality m is at [i * M + m]. */
static inline const double *fsl_quality(const fsl_batch *batch) { return (const double *)fsl_values(batch, "quality"); }
/* Row i is at [i]; NULL outside fit. */
static inline const int32_t *fsl_label(const fsl_batch *batch) { return (const int32_t *)fsl_values(batch, "label"); }
/* Row i is at [i]; NULL outside fit. */
static inline const double *fsl_weight(const fsl_batch *batch) { return (const double *)fsl_values(batch, "weight"); }

/* The embedding of a modality by column name, "embedding_MODALITY": row i starts at [i * *width]. NULL when there is none. */
static inline const double *fsl_embedding(const fsl_batch *batch, const char *column_name, uint64_t *width) {
  const struct ArrowArray *column = fsl_column(batch, column_name);
  int64_t i;
  if (column == NULL || column->n_children != 1) return NULL;
  for (i = 0; i < batch->schema->n_children; i++) {
    const struct ArrowSchema *schema = batch->schema->children[i];
    if (strcmp(schema->name, column_name) == 0) {
      const char *digit = schema->format + 3; /* after "+w:" */
      *width = 0;
      while (*digit >= '0' && *digit <= '9') *width = *width * 10u + (uint64_t)(*digit++ - '0');
    }
  }
  return (const double *)column->children[0]->buffers[1];
}

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* FUSELINE_FUSION_H */
