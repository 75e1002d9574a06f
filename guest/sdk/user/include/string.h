/* SPDX-License-Identifier: MIT */
#include <user.h>
