/* best_modality: trusts the available modality of the highest quality; among equals, the first.
 *
 *   cc -std=c99 -O2 -shared -fPIC -fvisibility=hidden -I crates/fuseline-abi/include -o best_modality.so best_modality.c
 *
 * Where no modality is available, it predicts the weighted share of each class in the training rows. That is all it learns.
 */
#include "fuseline_fusion.h"

#include <math.h>
#include <stdlib.h>

FSL_TAG("org.example.best_modality")

static const char descriptor[] =
    "{\"id\":\"org.example.best_modality\",\"name\":\"best modality\",\"version\":\"1.0.0\",\"licence\":\"MIT OR Apache-2.0\","
    "\"summary\":\"Trusts the available modality of the highest quality.\","
    "\"params\":{\"type\":\"object\",\"properties\":{\"smoothing\":{\"type\":\"number\",\"minimum\":0,\"maximum\":1,"
    "\"default\":0,\"description\":\"share of the class priors in every prediction\"}},\"additionalProperties\":false},"
    "\"limits\":{\"modalities\":64,\"classes\":1000},"
    "\"capabilities\":{\"uses_quality\":true,\"row_independent\":true,\"accepts_missing\":true,\"accepts_embeddings\":false}}";

/* The model's bytes: magic, numbers of modalities and classes, smoothing, the priors, and a checksum of all that. */
static const char magic[8] = {'B', 'E', 'S', 'T', 'M', 'O', 'D', '1'};

struct fsl_model {
  uint32_t modalities, classes;
  double smoothing;
  double prior[1]; /* classes of them */
};

static uint64_t checksum(uint64_t hash, const void *bytes, size_t len) { /* FNV-1a */
  const unsigned char *at = (const unsigned char *)bytes;
  size_t i;
  for (i = 0; i < len; i++) hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
  return hash;
}

static int32_t put(const fsl_sink *sink, uint64_t *hash, const void *bytes, size_t len) {
  *hash = checksum(*hash, bytes, len);
  return sink->write(sink, (const uint8_t *)bytes, len);
}

static int32_t fit(const fsl_batch *batch, const fsl_params *params, uint64_t seed, const fsl_sink *sink, fsl_error *err) {
  const int32_t *label = fsl_label(batch);
  const double *weight = fsl_weight(batch);
  uint64_t hash = UINT64_C(0xcbf29ce484222325), i;
  double smoothing, total = 0;
  double *prior;
  int32_t code;
  (void)seed;
  if (label == NULL || weight == NULL) return fsl_fail(err, FSL_ERR_DATA, -1, "", "there are no labels");
  if (params->get_f64(params, fsl_str("smoothing"), &smoothing) != FSL_OK)
    return fsl_fail(err, FSL_ERR_PARAM, -1, "smoothing", "a number is expected");
  prior = (double *)calloc(batch->classes, sizeof(double));
  if (prior == NULL) return fsl_fail(err, FSL_ERR_OUT_OF_MEMORY, -1, "", "no memory for the priors");
  for (i = 0; i < batch->rows; i++) prior[label[i]] += weight[i];
  for (i = 0; i < batch->classes; i++) total += prior[i];
  for (i = 0; i < batch->classes; i++) prior[i] = total > 0 ? prior[i] / total : 1.0 / batch->classes;
  code = put(sink, &hash, magic, sizeof magic);
  if (code == FSL_OK) code = put(sink, &hash, &batch->modalities, sizeof batch->modalities);
  if (code == FSL_OK) code = put(sink, &hash, &batch->classes, sizeof batch->classes);
  if (code == FSL_OK) code = put(sink, &hash, &smoothing, sizeof smoothing);
  if (code == FSL_OK) code = put(sink, &hash, prior, batch->classes * sizeof(double));
  if (code == FSL_OK) code = sink->write(sink, (const uint8_t *)&hash, sizeof hash);
  free(prior);
  return code == FSL_OK ? FSL_OK : fsl_fail(err, code, -1, "", "the host did not take the model");
}

static int32_t open_model(const uint8_t *bytes, uint64_t len, fsl_model **model, fsl_error *err) {
  const uint64_t head = sizeof magic + 2 * sizeof(uint32_t) + sizeof(double), tail = sizeof(uint64_t);
  uint32_t modalities, classes;
  uint64_t hash;
  if (len < head + tail || memcmp(bytes, magic, sizeof magic) != 0)
    return fsl_fail(err, FSL_ERR_DATA, -1, "", "these bytes are not a model of this rule");
  memcpy(&modalities, bytes + 8, sizeof modalities);
  memcpy(&classes, bytes + 12, sizeof classes);
  memcpy(&hash, bytes + len - tail, sizeof hash);
  if (len != head + classes * (uint64_t)sizeof(double) + tail ||
      hash != checksum(UINT64_C(0xcbf29ce484222325), bytes, (size_t)(len - tail)))
    return fsl_fail(err, FSL_ERR_DATA, -1, "", "the model is damaged");
  *model = (fsl_model *)malloc(sizeof(fsl_model) + classes * sizeof(double));
  if (*model == NULL) return fsl_fail(err, FSL_ERR_OUT_OF_MEMORY, -1, "", "no memory for the model");
  (*model)->modalities = modalities;
  (*model)->classes = classes;
  memcpy(&(*model)->smoothing, bytes + 16, sizeof(double));
  memcpy((*model)->prior, bytes + head, classes * sizeof(double));
  return FSL_OK;
}

static void close_model(fsl_model *model) { free(model); }

static int32_t predict(const fsl_model *model, const fsl_batch *batch, double *out, fsl_error *err) {
  const double *evidence = fsl_evidence(batch), *quality = fsl_quality(batch);
  const uint8_t *available = fsl_available(batch);
  const uint64_t modalities = batch->modalities, classes = batch->classes;
  uint64_t i, m, k;
  if (model->modalities != batch->modalities || model->classes != batch->classes)
    return fsl_fail(err, FSL_ERR_DATA, -1, "", "the model was fitted with other modalities or classes");
  for (i = 0; i < batch->rows; i++) {
    const double *best = NULL;
    double most = 0;
    double total = 0;
    for (m = 0; m < modalities; m++) {
      const uint64_t cell = i * modalities + m;
      if (!available[cell]) continue;
      if (isnan(quality[cell])) return fsl_fail(err, FSL_ERR_DATA, (int64_t)i, "", "the quality is not a number");
      if (best == NULL || quality[cell] > most) {
        best = evidence + cell * classes;
        most = quality[cell];
      }
    }
    for (k = 0; k < classes; k++) {
      const double own = best != NULL ? best[k] : model->prior[k];
      out[i * classes + k] = (1 - model->smoothing) * own + model->smoothing * model->prior[k];
      total += out[i * classes + k];
    }
    for (k = 0; k < classes; k++) out[i * classes + k] /= total;
  }
  return FSL_OK;
}

FSL_EXPORT int32_t fuseline_fusion_init(uint32_t host_abi, const fsl_host *host, fsl_fusion_plugin *out, fsl_error *err) {
  static const fsl_fusion_plugin table = {
      sizeof(fsl_fusion_plugin), 0, {descriptor, sizeof descriptor - 1}, fit, open_model, close_model, predict, NULL};
  (void)host;
  return fsl_publish(host_abi, &table, out, err);
}
