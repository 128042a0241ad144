/*
 * price: list prices of AWS in dollars, without free tiers and discounts of volume. Other regions
 * have others, most of them a little higher.
 */
#ifndef LIB_PRICE_H
#define LIB_PRICE_H

#define PRICE_REGION "us-east-1"
#define PRICE_DATE   "2026"

#define PRICE_METRIC_MONTH   0.30 /* a metric of one's own in CloudWatch, the first 10,000 */
#define PRICE_1000_API_CALLS 0.01 /* PutMetricData */
#define PRICE_LOGS_GB        0.50 /* into CloudWatch Logs, 10^9 bytes */
#define PRICE_EFS_READ_GIB   0.03 /* Elastic throughput */
#define PRICE_EFS_WRITE_GIB  0.06

#define PRICE_MONTH_HOURS 730

#endif
