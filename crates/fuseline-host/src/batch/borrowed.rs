//! A batch as the C structs of the ABI, borrowed for a call.

use std::ffi::{CStr, CString, c_void};
use std::marker::PhantomData;
use std::ptr;

use fuseline_abi as abi;

use super::{Answers, Batch};
use crate::stop::StopSignal;

/// One column, before its structs are linked.
struct Layout {
    name: CString,
    /// Arrow format of the column.
    format: CString,
    /// Arrow format of the values inside a list; none for plain numbers.
    item_format: Option<&'static CStr>,
    width: usize,
    values: *const c_void,
}

/// The C structs of a batch. What they point to is owned by this and by the batch.
pub(crate) struct BorrowedBatch<'b> {
    batch: abi::Batch,
    _storage: Storage,
    _batch: PhantomData<&'b Batch>,
}

/// The structs and what they point to; vectors that are never grown after they have been linked.
struct Storage {
    _layout: Vec<Layout>,
    _names: Vec<abi::FslString>,
    _buffers: Vec<[*const c_void; 2]>,
    _arrays: Vec<abi::ArrowArray>,
    _array_links: Vec<*mut abi::ArrowArray>,
    _schemas: Vec<abi::ArrowSchema>,
    _schema_links: Vec<*mut abi::ArrowSchema>,
}

impl<'b> BorrowedBatch<'b> {
    /// The structs of a batch; `stop` is what the plugin's calls of `should_stop` ask.
    pub(crate) fn new(batch: &'b Batch, stop: &'b StopSignal) -> Self {
        let layout = layout(batch);
        let (columns, rows) = (layout.len(), batch.rows as i64);

        // Two structs a column, its own and that of the values inside; then the one of the whole.
        let mut buffers: Vec<[*const c_void; 2]> = vec![[ptr::null(); 2]; 2 * columns + 1];
        let mut arrays: Vec<_> = (0..2 * columns + 1).map(|_| empty_array()).collect();
        let mut schemas: Vec<_> = (0..2 * columns + 1).map(|_| empty_schema()).collect();
        // The links to the values inside, then the links to the columns.
        let mut array_links = vec![ptr::null_mut(); 2 * columns];
        let mut schema_links = vec![ptr::null_mut(); 2 * columns];
        let (array, schema, buffer) =
            (arrays.as_mut_ptr(), schemas.as_mut_ptr(), buffers.as_mut_ptr());

        for (at, column) in layout.iter().enumerate() {
            let inside = columns + at;
            array_links[at] = array.wrapping_add(inside);
            array_links[columns + at] = array.wrapping_add(at);
            schema_links[at] = schema.wrapping_add(inside);
            schema_links[columns + at] = schema.wrapping_add(at);

            let values = if column.item_format.is_some() { inside } else { at };
            buffers[values][1] = column.values;
            arrays[values].n_buffers = 2;
            arrays[values].length = rows * column.width as i64;
            schemas[at].format = column.format.as_ptr();
            schemas[at].name = column.name.as_ptr();
            if let Some(item_format) = column.item_format {
                arrays[at].length = rows;
                arrays[at].n_buffers = 1;
                arrays[at].n_children = 1;
                arrays[at].children = array_links.as_mut_ptr().wrapping_add(at);
                schemas[at].n_children = 1;
                schemas[at].children = schema_links.as_mut_ptr().wrapping_add(at);
                schemas[inside].format = item_format.as_ptr();
                schemas[inside].name = c"item".as_ptr();
            }
        }
        for (at, array) in arrays.iter_mut().enumerate() {
            array.buffers = buffer.wrapping_add(at).cast();
        }
        let whole = 2 * columns;
        arrays[whole].length = rows;
        arrays[whole].n_buffers = 1;
        arrays[whole].n_children = columns as i64;
        arrays[whole].children = array_links.as_mut_ptr().wrapping_add(columns);
        schemas[whole].format = c"+s".as_ptr();
        schemas[whole].name = c"".as_ptr();
        schemas[whole].n_children = columns as i64;
        schemas[whole].children = schema_links.as_mut_ptr().wrapping_add(columns);

        let names: Vec<_> = batch
            .modalities
            .iter()
            .chain(&batch.classes)
            .map(|name| abi::FslString::new(name))
            .collect();
        Self {
            batch: abi::Batch {
                struct_size: size_of::<abi::Batch>() as u32,
                flags: 0,
                rows: batch.rows as u64,
                modalities: batch.modalities.len() as u32,
                classes: batch.classes.len() as u32,
                modality_names: names.as_ptr(),
                class_names: names.as_ptr().wrapping_add(batch.modalities.len()),
                schema: schema.wrapping_add(whole),
                array: array.wrapping_add(whole),
                call: ptr::from_ref(stop).cast(),
            },
            _storage: Storage {
                _layout: layout,
                _names: names,
                _buffers: buffers,
                _arrays: arrays,
                _array_links: array_links,
                _schemas: schemas,
                _schema_links: schema_links,
            },
            _batch: PhantomData,
        }
    }

    pub(crate) fn as_ptr(&self) -> *const abi::Batch {
        &self.batch
    }
}

fn layout(batch: &Batch) -> Vec<Layout> {
    let (modalities, classes) = (batch.modalities.len(), batch.classes.len());
    let mut layout = vec![
        plain(c"row_id", c"L", batch.row_id().as_ptr().cast()),
        list(c"evidence", c"g", modalities * classes, batch.evidence().as_ptr().cast()),
        list(c"available", c"C", modalities, batch.available().as_ptr().cast()),
        list(c"quality", c"g", modalities, batch.quality().as_ptr().cast()),
    ];
    for embedding in &batch.embeddings {
        let name = format!("embedding_{}", batch.modalities[embedding.modality]);
        let name = CString::new(name.replace('\0', "")).unwrap_or_default();
        layout.push(list(&name, c"g", embedding.width, embedding.values.values().as_ptr().cast()));
    }
    if let Some(labels) = &batch.labels {
        layout.push(match &labels.answers {
            Answers::Classes(label) => plain(c"label", c"i", label.values().as_ptr().cast()),
            Answers::Numbers(target) => plain(c"target", c"g", target.values().as_ptr().cast()),
        });
        layout.push(plain(c"weight", c"g", labels.weight.values().as_ptr().cast()));
    }
    layout
}

fn plain(name: &CStr, format: &CStr, values: *const c_void) -> Layout {
    Layout { name: name.to_owned(), format: format.to_owned(), item_format: None, width: 1, values }
}

fn list(name: &CStr, item_format: &'static CStr, width: usize, values: *const c_void) -> Layout {
    let format = CString::new(format!("+w:{width}")).unwrap_or_default();
    Layout { name: name.to_owned(), format, item_format: Some(item_format), width, values }
}

fn empty_array() -> abi::ArrowArray {
    abi::ArrowArray {
        length: 0,
        null_count: 0,
        offset: 0,
        n_buffers: 0,
        n_children: 0,
        buffers: ptr::null_mut(),
        children: ptr::null_mut(),
        dictionary: ptr::null_mut(),
        release: Some(release_array),
        private_data: ptr::null_mut(),
    }
}

fn empty_schema() -> abi::ArrowSchema {
    abi::ArrowSchema {
        format: c"".as_ptr(),
        name: c"".as_ptr(),
        metadata: ptr::null(),
        flags: 0,
        n_children: 0,
        children: ptr::null_mut(),
        dictionary: ptr::null_mut(),
        release: Some(release_schema),
        private_data: ptr::null_mut(),
    }
}

/// A plugin never releases; one that does changes nothing.
extern "C" fn release_array(_array: *mut abi::ArrowArray) {}

/// A plugin never releases; one that does changes nothing.
extern "C" fn release_schema(_schema: *mut abi::ArrowSchema) {}
