#include "lib/aws/cloudwatch.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "lib/json.h"

enum { DIMENSION_VALUE_MAX = 1024, PRECISION = 15, GZIP_LEAST_BYTES = 1024, GZIP_WINDOW = 15 + 16 };

static const char operation[] = "PutMetricData";

/* ---- one datum ---- */

static json_t *dimensions_json(const struct cloudwatch_datum *datum)
{
    json_t *list = json_array();
    for (const struct aws_parameter *d = datum->dimensions; d->name; d++) {
        char value[DIMENSION_VALUE_MAX + 1];
        snprintf(value, sizeof(value), "%s", d->value);
        for (char *p = value; *p; p++)
            if (*p < ' ' || *p > '~' || (p == value && *p == ':'))
                *p = '?';
        json_array_append_new(list, json_pack("{s:s, s:s}", "Name", d->name, "Value", value));
    }
    return list;
}

static bool allowed(double value)
{
    const double largest = 2.3485425827738332e108; /* 2^360 */
    return isfinite(value) && fabs(value) <= largest;
}

static int set_values(json_t *object, const struct cloudwatch_datum *datum)
{
    json_t *values = json_array(), *counts = json_array();
    json_object_set_new(object, "Values", values);
    json_object_set_new(object, "Counts", counts);
    for (size_t i = 0; i < datum->n; i++) {
        if (!allowed(datum->values[i]))
            return -EDOM;
        json_array_append_new(values, json_double(datum->values[i]));
        json_array_append_new(counts,
                              json_integer(datum->counts ? (json_int_t)datum->counts[i] : 1));
    }
    if (datum->n == 1 && (!datum->counts || datum->counts[0] == 1)) {
        json_object_set(object, "Value", json_array_get(values, 0));
        json_object_del(object, "Values");
        json_object_del(object, "Counts");
    }
    return 0;
}

int cloudwatch_encode(const struct cloudwatch_datum *datum, char **ret_text, size_t *ret_length)
{
    _cleanup_json_ json_t *object =
        json_pack("{s:s, s:s, s:I}", "MetricName", datum->name, "Unit", datum->unit, "Timestamp",
                  (json_int_t)(datum->wall_ms / 1000));
    if (datum->n == 0 || datum->n > CLOUDWATCH_VALUES_MAX)
        return -E2BIG;
    if (datum->dimensions[0].name)
        json_object_set_new(object, "Dimensions", dimensions_json(datum));
    if (datum->high_resolution)
        json_object_set_new(object, "StorageResolution", json_integer(1));
    int r = object ? set_values(object, datum) : -ENOMEM;
    if (r < 0)
        return r;
    char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(PRECISION));
    if (!text)
        return -ENOMEM;
    *ret_text = text;
    *ret_length = strlen(text);
    return 0;
}

/* ---- a batch ---- */

struct body {
    char *data;
    size_t length;
};

static void cleanup_body_p(struct body *body)
{
    free(body->data);
}
#define _cleanup_body_ _cleanup_(cleanup_body_p)

static int make_body(const char *name_space, const struct iovec data[], size_t n,
                     struct body *ret_body)
{
    _cleanup_json_ json_t *name = json_string_lossy(name_space);
    _cleanup_free_ char *quoted = json_dumps(name, JSON_ENCODE_ANY);
    size_t size = 64 + (quoted ? strlen(quoted) : 0), used;
    for (size_t i = 0; i < n; i++)
        size += data[i].iov_len + 1;
    char *text = quoted ? malloc(size) : NULL;
    if (!text)
        return -ENOMEM;
    used = (size_t)snprintf(text, size, "{\"Namespace\":%s,\"MetricData\":[", quoted);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            text[used++] = ',';
        memcpy(text + used, data[i].iov_base, data[i].iov_len);
        used += data[i].iov_len;
    }
    used += (size_t)snprintf(text + used, size - used, "]}");
    *ret_body = (struct body){text, used};
    return 0;
}

static int compress_body(const struct body *plain, struct body *ret_body)
{
    z_stream z = {0};
    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) !=
        Z_OK)
        return -ENOMEM;
    size_t size = deflateBound(&z, plain->length);
    char *data = malloc(size);
    z.next_in = (Bytef *)plain->data;
    z.avail_in = (uInt)plain->length;
    z.next_out = (Bytef *)data;
    z.avail_out = (uInt)size;
    bool done = data && deflate(&z, Z_FINISH) == Z_STREAM_END;
    deflateEnd(&z);
    if (!done) {
        free(data);
        return -ENOMEM;
    }
    *ret_body = (struct body){data, size - z.avail_out};
    return 0;
}

/* ---- the call ---- */

/* Codes that say that it is the data, not who sends them or when. */
static bool blames_data(const struct reply *reply)
{
    static const char *const begins[] = {"InvalidParameter", "InvalidFormat",
                                         "MissingParameter", "MissingRequiredParameter",
                                         "Validation",       "Serialization"};
    if (reply->status == 413)
        return true;
    for (size_t i = 0; reply->status == 400 && i < ARRAY_LEN(begins); i++)
        if (strncmp(reply->code, begins[i], strlen(begins[i])) == 0)
            return true;
    return false;
}

/* An error that says nothing of what was in the body. */
static bool did_not_understand(const struct reply *reply)
{
    return reply->status >= 500 || reply->status == 415 ||
           (reply->status >= 400 && !reply->code[0]) ||
           strncmp(reply->code, "Serialization", strlen("Serialization")) == 0;
}

int cloudwatch_check(const struct reply *reply, struct error *err)
{
    int r = reply_check(reply, operation, err);
    if (r == -EKEYREJECTED)
        return -ENOKEY;
    return r < 0 && blames_data(reply) ? -EBADMSG : r;
}

static int call(const struct aws_client *client, const struct body *body, bool gzip,
                int64_t deadline_ms, struct reply *ret_reply, struct error *err)
{
    const struct aws_call request = {
        .action = AWS_PUT_METRIC_DATA,
        .path = "/",
        .headers = {"Content-Type: application/x-amz-json-1.0",
                    "X-Amz-Target: GraniteServiceVersion20100801.PutMetricData",
                    "x-amzn-query-mode: true", gzip ? "Content-Encoding: gzip" : NULL},
        .body = body->data,
        .body_length = body->length,
        .deadline_ms = deadline_ms,
    };
    return aws_request(client, &request, ret_reply, err);
}

int cloudwatch_put(const struct aws_client *client, const char *name_space,
                   const struct iovec data[], size_t n, bool *gzip, int64_t deadline_ms,
                   struct error *err)
{
    _cleanup_body_ struct body plain = {0}, compressed = {0};
    _cleanup_reply_ struct reply reply = {0};
    int r = make_body(name_space, data, n, &plain);
    bool compress = r == 0 && *gzip && plain.length >= GZIP_LEAST_BYTES;
    if (compress)
        r = compress_body(&plain, &compressed);
    if (r < 0)
        return error_set_errno(err, -r, "%s", operation);

    r = call(client, compress ? &compressed : &plain, compress, deadline_ms, &reply, err);
    if (compress && r == 0 && did_not_understand(&reply) &&
        endpoint_is_configured(&aws_cloudwatch)) {
        *gzip = false;
        reply_release(&reply);
        r = call(client, &plain, false, deadline_ms, &reply, err);
    }
    return r < 0 ? r : cloudwatch_check(&reply, err);
}

const char *cloudwatch_statement(const char *name_space, char *buf, size_t size)
{
    snprintf(buf, size,
             "{\"Effect\":\"Allow\",\"Action\":\"cloudwatch:PutMetricData\",\"Resource\":\"*\","
             "\"Condition\":{\"StringEquals\":{\"cloudwatch:namespace\":\"%s\"}}}",
             name_space);
    return buf;
}
