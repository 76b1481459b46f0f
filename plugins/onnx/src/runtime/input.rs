//! The inputs of an ONNX file: their types, and the shape of a row of features for them.

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{TensorShapeProto, TypeProto, ValueInfoProto, type_proto};
use tract_onnx::prelude::DatumType;

use fuseline_onnx::OnnxError;

/// An input as the file declares it.
pub(super) struct Declared {
    pub name: String,
    /// In the terms of ONNX, and of the runtime.
    pub elem_type: i32,
    pub of: DatumType,
    /// The size of each dimension, where it is fixed; `None` when even their number is unknown.
    sizes: Option<Vec<Option<usize>>>,
}

impl Declared {
    pub fn read(input: &ValueInfoProto, file: &str) -> Result<Self, OnnxError> {
        let error = |what: &str| {
            OnnxError::new(format!("the input {} of {file} {what}", input.name)).at("input")
        };
        let declared = input.r#type.as_ref().and_then(|of| of.value.as_ref());
        let Some(type_proto::Value::TensorType(tensor)) = declared else {
            return Err(error("is no tensor of numbers"));
        };
        let of = match DataType::try_from(tensor.elem_type) {
            Ok(DataType::Float) => DatumType::F32,
            Ok(DataType::Double) => DatumType::F64,
            Ok(DataType::Float16) => DatumType::F16,
            Ok(DataType::Int64) => DatumType::I64,
            Ok(DataType::Int32) => DatumType::I32,
            _ => {
                return Err(error("takes neither numbers with a point nor whole numbers")
                    .hint("export it with FloatTensorType, or after model.float()"));
            }
        };
        let size = |dim: &Dimension| match dim.value {
            Some(dimension::Value::DimValue(size)) => usize::try_from(size).ok(),
            _ => None,
        };
        let sizes = tensor.shape.as_ref().map(|shape| shape.dim.iter().map(size).collect());
        Ok(Self { name: input.name.clone(), elem_type: tensor.elem_type, of, sizes })
    }

    /// True if the file leaves the number of rows open.
    pub fn takes_any_rows(&self) -> bool {
        matches!(self.sizes.as_deref(), Some([None, _, ..]))
    }

    /// Sizes of the dimensions of a row, where the file says how many there are.
    pub fn row_sizes(&self) -> &[Option<usize>] {
        self.sizes.as_deref().and_then(|sizes| sizes.get(1..)).unwrap_or_default()
    }

    /// Number of features of a row, if the file says it.
    pub fn width(&self) -> Option<usize> {
        match self.sizes.as_deref()? {
            [_, sizes @ ..] => sizes.iter().copied().product(),
            [] => None,
        }
    }

    /// The shape of one row of some features: the first dimension counts examples; where there are
    /// more than two, the features fill the others row by row, and one of them may be open.
    pub fn shape_of_row(&self, file: &str, width: usize) -> Result<Vec<usize>, OnnxError> {
        let Some(sizes) = &self.sizes else { return Ok(vec![1, width]) };
        let name = &self.name;
        let error = |what: String| OnnxError::new(what).at("input");
        let sizes = match &sizes[..] {
            [None | Some(1), sizes @ ..] if !sizes.is_empty() => sizes,
            [Some(rows), _, ..] => {
                return Err(error(format!("{file} takes {rows} rows at a time"))
                    .hint("export it for one row, or with a first dimension that is left open"));
            }
            _ => {
                return Err(error(format!(
                    "the input {name} of {file} has {} dimensions where at least 2 are meant: \
                     examples and features",
                    sizes.len()
                )));
            }
        };
        let fixed: usize = sizes.iter().flatten().product();
        let open = sizes.iter().filter(|size| size.is_none()).count();
        let fits = match open {
            0 => fixed == width,
            1 => fixed > 0 && width.is_multiple_of(fixed),
            _ => {
                return Err(error(format!(
                    "the input {name} of {file} leaves {open} dimensions of a row open, so that \
                     its features have no shape"
                ))
                .hint("export it with one of them at most: dynamic_axes, or dynamic_shapes"));
            }
        };
        if !fits {
            let multiple = if open == 1 { "a multiple of " } else { "" };
            return Err(error(format!(
                "{file} takes {multiple}{fixed} features and is given {width}"
            ))
            .hint(
                "columns: [...] says which, in the model's order; exclude: [...] leaves some out",
            ));
        }
        let open = width.checked_div(fixed).unwrap_or_default();
        Ok([1].into_iter().chain(sizes.iter().map(|size| size.unwrap_or(open))).collect())
    }
}

/// A tensor's type with a fixed shape.
pub(super) fn type_of(elem_type: i32, shape: &[usize]) -> TypeProto {
    let dim = |size: &usize| Dimension {
        value: Some(dimension::Value::DimValue(i64::try_from(*size).unwrap_or(i64::MAX))),
        ..Dimension::default()
    };
    let shape = TensorShapeProto { dim: shape.iter().map(dim).collect() };
    let tensor = type_proto::Tensor { elem_type, shape: Some(shape) };
    TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() }
}
