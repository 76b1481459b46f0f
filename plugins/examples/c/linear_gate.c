/* linear_gate: a gate that was trained elsewhere. It is not fitted here: fusion.load gives it its file.
 *
 *   cc -std=c99 -O2 -shared -fPIC -fvisibility=hidden -I crates/fuseline-abi/include -o linear_gate.so linear_gate.c -lm
 *
 * The file `weights` holds little-endian doubles: a slope for each modality, in the order that the workflow names them,
 * then an offset for each. The prediction is the mean of the evidence, weighted by softmax(slope * quality + offset) over
 * the available modalities; where there is none, every class is as likely as another.
 */
#include "fuseline_fusion.h"

#include <math.h>
#include <stdlib.h>

FSL_TAG("org.example.linear_gate")

static const char descriptor[] =
    "{\"id\":\"org.example.linear_gate\",\"name\":\"linear gate\",\"version\":\"1.0.0\",\"licence\":\"MIT OR Apache-2.0\","
    "\"summary\":\"A softmax gate on quality that was trained elsewhere.\","
    "\"params\":{\"type\":\"object\",\"properties\":{},\"additionalProperties\":false},"
    "\"limits\":{\"modalities\":64,\"classes\":1000},"
    "\"capabilities\":{\"uses_quality\":true,\"row_independent\":true,\"accepts_missing\":true,\"accepts_embeddings\":false,"
    "\"fits\":false,\"loads\":true}}";

/* The model's bytes: magic, the number of modalities, the content of the file, and a checksum of all that. */
static const char magic[8] = {'L', 'I', 'N', 'G', 'A', 'T', 'E', '1'};

static uint64_t checksum(uint64_t hash, const void *bytes, uint64_t len) { /* FNV-1a */
  const uint8_t *byte = (const uint8_t *)bytes;
  while (len-- > 0) hash = (hash ^ *byte++) * UINT64_C(0x100000001b3);
  return hash;
}

static const uint64_t basis = UINT64_C(0xcbf29ce484222325);

struct fsl_model {
  uint32_t modalities;
  double values[1]; /* 2 * modalities of them */
};

static int32_t fit(const fsl_batch *batch, const fsl_params *params, uint64_t seed, const fsl_sink *sink, fsl_error *err) {
  (void)batch, (void)params, (void)seed, (void)sink;
  return fsl_fail(err, FSL_ERR_UNSUPPORTED, -1, "", "this rule is not fitted: it loads models");
}

static int32_t load(const fsl_load_source *source, const fsl_params *params, const fsl_sink *sink, fsl_error *err) {
  const fsl_file *file = fsl_find_file(source, "weights");
  uint32_t count = source->modalities;
  uint64_t i, hash;
  int32_t code;
  (void)params;
  if (file == NULL) return fsl_fail(err, FSL_ERR_DATA, -1, "", "a file called weights is needed");
  if (file->len != (uint64_t)count * 2 * sizeof(double))
    return fsl_fail(err, FSL_ERR_DATA, -1, "", "weights must hold two doubles a modality");
  for (i = 0; i < 2 * (uint64_t)count; i++) {
    double value;
    memcpy(&value, file->bytes + i * sizeof(double), sizeof value);
    if (!isfinite(value)) return fsl_fail(err, FSL_ERR_DATA, -1, "", "weights holds a number that is not finite");
  }
  code = sink->write(sink, (const uint8_t *)magic, sizeof magic);
  if (code == FSL_OK) code = sink->write(sink, (const uint8_t *)&count, sizeof count);
  if (code == FSL_OK) code = sink->write(sink, file->bytes, file->len);
  hash = checksum(checksum(checksum(basis, magic, sizeof magic), &count, sizeof count), file->bytes, file->len);
  if (code == FSL_OK) code = sink->write(sink, (const uint8_t *)&hash, sizeof hash);
  return code == FSL_OK ? FSL_OK : fsl_fail(err, code, -1, "", "the host did not take the model");
}

static int32_t open_model(const uint8_t *bytes, uint64_t len, fsl_model **model, fsl_error *err) {
  const uint64_t head = sizeof magic + sizeof(uint32_t);
  uint64_t hash;
  uint32_t count;
  if (len < head + sizeof hash || memcmp(bytes, magic, sizeof magic) != 0)
    return fsl_fail(err, FSL_ERR_DATA, -1, "", "these bytes are not a model of this rule");
  memcpy(&count, bytes + sizeof magic, sizeof count);
  memcpy(&hash, bytes + len - sizeof hash, sizeof hash);
  if (count == 0 || len != head + (uint64_t)count * 2 * sizeof(double) + sizeof hash ||
      hash != checksum(basis, bytes, len - sizeof hash))
    return fsl_fail(err, FSL_ERR_DATA, -1, "", "the model is damaged");
  *model = (fsl_model *)malloc(sizeof(fsl_model) + (size_t)count * 2 * sizeof(double));
  if (*model == NULL) return fsl_fail(err, FSL_ERR_OUT_OF_MEMORY, -1, "", "no memory for the model");
  (*model)->modalities = count;
  memcpy((*model)->values, bytes + head, (size_t)count * 2 * sizeof(double));
  return FSL_OK;
}

static void close_model(fsl_model *model) { free(model); }

static int32_t predict(const fsl_model *model, const fsl_batch *batch, double *out, fsl_error *err) {
  const double *evidence = fsl_evidence(batch), *quality = fsl_quality(batch);
  const uint8_t *available = fsl_available(batch);
  const uint64_t modalities = batch->modalities, classes = batch->classes;
  uint64_t i, m, k;
  if (model->modalities != batch->modalities)
    return fsl_fail(err, FSL_ERR_DATA, -1, "", "the model has another number of modalities");
  for (i = 0; i < batch->rows; i++) {
    double most = -INFINITY, total = 0;
    double *row = out + i * classes;
    for (m = 0; m < modalities; m++) {
      const double logit = model->values[m] * quality[i * modalities + m] + model->values[modalities + m];
      if (available[i * modalities + m] && logit > most) most = logit;
    }
    for (k = 0; k < classes; k++) row[k] = 0;
    for (m = 0; m < modalities; m++) {
      const uint64_t cell = i * modalities + m;
      double weight;
      if (!available[cell]) continue;
      weight = exp(model->values[m] * quality[cell] + model->values[modalities + m] - most);
      total += weight;
      for (k = 0; k < classes; k++) row[k] += weight * evidence[cell * classes + k];
    }
    for (k = 0; k < classes; k++) row[k] = total > 0 ? row[k] / total : 1.0 / (double)classes;
  }
  return FSL_OK;
}

static const void *get_extension(fsl_string id) {
  static const fsl_load table = {sizeof(fsl_load), 0, load};
  return fsl_str_is(id, FSL_LOAD) ? &table : NULL;
}

FSL_EXPORT int32_t fuseline_fusion_init(uint32_t host_abi, const fsl_host *host, fsl_fusion_plugin *out, fsl_error *err) {
  static const fsl_fusion_plugin table = {sizeof(fsl_fusion_plugin), 0,          {descriptor, sizeof descriptor - 1}, fit,
                                          open_model,                close_model, predict, get_extension};
  (void)host;
  return fsl_publish(host_abi, &table, out, err);
}
