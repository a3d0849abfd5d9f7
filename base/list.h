/*
 * Doubly linked lists of structs that embed a `struct list`.
 *
 * A list head is a `struct list` that no element contains. An element that is
 * in no list is either zero or was removed with list_remove; list_linked tells.
 *
 *     struct list ready;
 *     list_init(&ready);
 *     list_append(&ready, &fiber->link);
 *     struct fiber *first = CONTAINER_OF(ready.next, struct fiber, link);
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *head)
{
    head->next = head->prev = head;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

static inline bool list_linked(const struct list *element)
{
    return element->next != NULL;
}

/* Insert `element` just before `before` (at the end, if that is the head). */
static inline void list_insert(struct list *before, struct list *element)
{
    element->prev = before->prev;
    element->next = before;
    before->prev->next = element;
    before->prev = element;
}

static inline void list_append(struct list *head, struct list *element)
{
    list_insert(head, element);
}

static inline void list_prepend(struct list *head, struct list *element)
{
    list_insert(head->next, element);
}

/* The element must be linked; afterwards it is not. */
static inline void list_remove(struct list *element)
{
    assert(list_linked(element));
    element->next->prev = element->prev;
    element->prev->next = element->next;
    element->next = element->prev = NULL;
}

/* Unlink and return the first element, or NULL if there is none. */
static inline struct list *list_take_first(struct list *head)
{
    struct list *first = head->next;
    if (first == head)
        return NULL;
    list_remove(first);
    return first;
}

/* NOLINTBEGIN(bugprone-macro-parentheses): `element` is a name to declare. */
#define LIST_EACH(element, head)                                               \
    for (struct list *element = (head)->next; element != (head);               \
         element = element->next)
/* NOLINTEND(bugprone-macro-parentheses) */

#endif
