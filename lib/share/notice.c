#include "lib/share/notice.h"

#include <errno.h>
#include <string.h>

#include "lib/bytes.h"

int notice_encode(const struct notice *notice, uint8_t *buffer, size_t size)
{
    const char *name = notice->name ? notice->name : "";
    size_t name_length = strlen(name), data_length = notice->data_length;
    if (notice->kind == 0 || name_length > NOTICE_NAME_MAX || data_length > NOTICE_DATA_MAX)
        return -EINVAL;
    size_t length = NOTICE_HEADER_BYTES + name_length + 1 + data_length;
    if (length > size)
        return -EMSGSIZE;
    uint8_t *p = buffer;
    p = put_le16(p, notice->kind);
    p = put_le16(p, 0);
    p = put_le64(p, notice->number);
    p = put_le16(p, (uint16_t)name_length);
    p = put_le16(p, (uint16_t)data_length);
    memcpy(p, name, name_length + 1);
    if (data_length)
        memcpy(p + name_length + 1, notice->data, data_length);
    return (int)length;
}

int notice_decode(const uint8_t *data, size_t length, struct notice *ret_notice)
{
    if (length < NOTICE_HEADER_BYTES)
        return -EBADMSG;
    size_t name_length = get_le16(data + 12), data_length = get_le16(data + 14);
    const char *name = (const char *)data + NOTICE_HEADER_BYTES;
    if (get_le16(data) == 0 || name_length > NOTICE_NAME_MAX || data_length > NOTICE_DATA_MAX ||
        length != NOTICE_HEADER_BYTES + name_length + 1 + data_length ||
        strnlen(name, name_length + 1) != name_length)
        return -EBADMSG;
    *ret_notice = (struct notice){
        .kind = get_le16(data),
        .number = get_le64(data + 4),
        .name = name,
        .data = name + name_length + 1,
        .data_length = data_length,
    };
    return 0;
}
